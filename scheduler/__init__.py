"""How a script gets run somewhere: text in, text out. Imports nothing of ours."""
