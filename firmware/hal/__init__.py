"""Contracts: one small file for each kind of device."""
