"""Jobs: what was asked to run, whether it runs, and what came out.

Besides the files that each part has (``models``, ``schemas``, ``store``, ``service``, ``api``,
``pages``), in the order of a job's life:

=================== ============================================================================
asked for           ``resources``, ``resource_schema``, ``number_field`` and ``kinds``: what may be
                    asked; ``declared``: what a kind says of its jobs; ``ranks``: by whom several
                    machines; ``together``: which options need one another;
                    ``surveyed``: what its cluster can,
                    ``entitled``: what account and QOS may;
                    ``campaign`` (``campaign_schema``,
                    ``elements_field``): many fits of one problem;
                    ``prepare`` checks it, ``plan`` and ``script`` write what will run,
                    ``planner`` makes the attempt of it; ``drafts`` proves what was previewed;
                    ``expert`` (``expert_schema``) is what a user adds to the script;
                    ``new_job_schema`` is the answer; ``asking`` says who asks, ``admission``
                    whether there is room, ``again``
                    (``again_schema``) adds further attempts, ``part`` says what of an array
                    runs in them; ``many_api`` takes many requests in one
                    (``asked_once``);
                    ``bulk`` (``bulk_schema``,
                    ``bulk_pages``) does one thing with many jobs, ``filing_schema`` puts away
brought on          ``reconcile`` is the loop: ``line`` and ``dependencies`` (``after_schema``) say
                    who waits, ``inquiry`` finds out at the ``pace`` of a cluster, ``decide`` says
                    what to do, ``handover`` stages and submits, ``room`` says when who is turned
                    away tries again, ``outcome`` what the record is then, ``care`` keeps
                    faults of one job from others; ``places`` are clusters and
                    accounts; ``nudge`` wakes the loop
followed            ``watch`` says when, ``follow`` reads what running jobs write, ``reported`` what
                    their events mean,
                    ``log_folder`` and ``live_store`` keep it while they live
ended               ``collect`` fetches what is left, ``manifests`` hold it against what was said,
                    ``judge`` says what it comes to, ``conclude``
                    closes the attempt; ``backoff`` spaces what fails; ``documents`` reads JSON of
                    strangers, ``parsed`` keeps records that were read,
                    ``unreadable`` tells of those that cannot be
shown               ``present`` to programs, written once by ``answer``, told as it
                    changes by ``job_stream``; to people ``job_view``, ``result_view``,
                    ``element_view``, ``grid_map``, ``neighbours``, in the words of ``words``,
                    ``page_words`` and ``concise``; ``history`` (``history_schema``) tells what
                    happened, ``log_view`` and ``log_find`` what was printed;
                    ``efficiency`` says how well a job used what it asked for,
                    ``advise`` (``advice_schema``) computes the next request, ``forecast``
                    (``forecaster``, ``forecast_store``) how long it takes, ``earliest``
                    (``earliest_store``) when it could start, ``prospects`` when what waits
                    may; ``pending`` and
                    ``alarm`` say what never starts, ``in_its_place`` asks for another;
                    ``listing`` finds, ``named`` tells parameters apart, ``parameter_table``
                    and ``bundle`` write files; ``compared`` (``compared_settings``,
                    ``compared_files``, ``compare_schema``, ``compare_api``,
                    ``compare_pages``) lays results side by side
shared              ``shared`` says who else may read a job, and what of it; ``share_api``,
                    ``share_pages`` and ``share_part`` let its owner decide, ``copied`` makes it a
                    reader's own; the rest is `gateway.sharing`
watched             ``census`` counts, ``ran``, ``tally`` and ``usage`` sum up, ``handed``
                    lists what ran, for administrators; ``spent`` keeps sums for the limits of
                    `gateway.policy`
forgotten           ``rubbish`` remembers what a deleted job left, ``sweep`` removes it; ``gone``
                    keeps a line of it for audit and usage
kept over versions  ``store_scripts`` are the steps that are whole or not at all, ``migrations``
                    bring older records forward
=================== ============================================================================
"""
