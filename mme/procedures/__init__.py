"""The procedures, one file per clause of TS 24.301 / TS 36.413: pure functions from (context, message, Env) to Outcome.

Chain of an attach: attach_request -> authentication -> security_mode -> attach; `dispatch` knows which function
takes which message.
"""
