"""A local WhatsApp: the network side of the Cloud API, with contacts that behave, faults and a ledger.

A process of its own that imports nothing else of this repository, so that what runs against it is the real
connector over a real socket. What it proves is the connector, not WhatsApp.
"""
