"""How Parley is run: embedded on one machine, in containers, in a cluster. No service code lives here."""
