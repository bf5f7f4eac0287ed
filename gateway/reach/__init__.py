"""What reaches clusters: connections and keys, for the worker and for administrators' commands.

=============== ================================================================================
``reach``       from a site's settings to its schedulers, one connection a cluster and account
``unseal``      opens the private keys that `gateway.clusters` keeps sealed
``host_keys``   shows and pins what a login node says of itself
``site_check``  tries a cluster step by step, and says what to mend
``trial``       a script tested by sbatch, and a small job run, as an administrator tries a site
``cli``         ``bumps-gateway cluster ...``
=============== ================================================================================

No web process imports this room: nobody's click waits for a cluster, and no key is open there.
"""
