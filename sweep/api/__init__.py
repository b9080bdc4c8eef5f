"""What `import sweep` gives to notebooks: the calls that the commands make, with tables of pandas.

`sweep/__init__.py` hands the names on, and loads none of this before one of them is used.
"""
