"""How configurations are chosen, stopped and judged."""
