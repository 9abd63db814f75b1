"""A folder that mlenergy-data reads: its Parquet summary, and the raw layout of the ML.ENERGY benchmark beside it."""
