"""What the gateway serves to browsers. Reads its own files only, once; loads nothing from outside."""
