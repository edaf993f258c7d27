"""Generator of document templates: invented cards, forms, certificates, tickets from a seed."""
