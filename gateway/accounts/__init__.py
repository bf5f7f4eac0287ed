"""Who may use the gateway: users, sessions, API tokens, rights."""
