"""What every service stands on: contracts, the bus, the drivers' single doors, and the service runner."""
