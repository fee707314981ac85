"""Floor 0: what everything stands on. No torch, numba in `jit` alone, nothing of the field's own.

errors      UserError (exit 2), nearest-name hints
settings    Settings, Count, YAML with line numbers, dotted overrides, validation sentences
mistakes    what is wrong with settings, as sentences
ranges      bounds of numbers: one check, one wording
expression  Condition: small conditions over table columns, used by rules and groups
files       atomic files and folders, hashes, fingerprints
keyed       stable hashes and permutations: randomness as a function of its key
events      Journal: append-only JSON Lines
progress    one line for anything long; lengths of time and numbers of bytes as people say them
machine     what the machine is; Meter for what a piece of work used
pool        map_units, Workers: processes, or a Ray cluster, that give the serial result
chart       Chart, Series: what is drawn, whatever draws it
jit         numba in one place: kernels compiled for one list of types, kept on disk
lists       Lists: many lists of numbers in two arrays
lazy        front doors whose files are loaded when a name is first used
"""
