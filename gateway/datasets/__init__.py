"""Datasets: file sets with an owner. So far the files, and what a job leaves behind."""
