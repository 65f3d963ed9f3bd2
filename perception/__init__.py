"""Networks and supervised fitting of what an agent perceives with."""
