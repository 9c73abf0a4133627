"""Proposes a mapping from two catalogues alone: which table became which, and which column. Pure.

It reads names, types, keys and foreign keys, never rows. It would rather propose nothing than something wrong.
"""
