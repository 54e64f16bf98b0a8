"""Jobs of a team that shares few machines: `python -m train queue add|work|list|cancel|retry`."""
