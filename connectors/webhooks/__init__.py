"""Events that providers send: their signatures, and the source type whose tables are made of nothing else."""
