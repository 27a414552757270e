"""Tests that may differ, and why: only what the design documents as visible on the server, never in the protocol."""

EXCLUDED = {}
