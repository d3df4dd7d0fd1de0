"""cold-start's parts: the lives it gives a server, what they showed, what follows."""
