"""Write the orders of the last two days, and deliver one event of a queue again, in another cut."""
