"""Corrects ministack where its answers differ from AWS's (decision 20).

Each module corrects one service: it replaces functions of the pinned version (tools/local-stack.in), each with its reason.
If a function isn't there any more, the emulator doesn't start. `server` corrects nothing: it serves the same answers faster.
"""
