"""One process per destination: takes sealed batches from the record and delivers them."""
