"""Experiments as job arrays of a Slurm cluster, by the commands that every site has: sbatch, squeue, scancel, sacct."""
