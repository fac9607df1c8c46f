"""Who may speak with the functions: signatures, their age, callback URLs, secrets, and what hides them.

Shared by every function family (mme, placement, reload), and knows none of them.
"""
