"""Synthetic travel documents: identities, print, zone crops (`zones`), photographs (`documents`).

Designs are invented, portraits are drawn, and everything is seeded per sample: sample i of seed s
is the same picture on every machine and with any number of workers.
"""
