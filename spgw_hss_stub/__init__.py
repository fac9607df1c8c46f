"""A home subscriber server and gateway in a process of their own, slow, lossy or refusing as told."""
