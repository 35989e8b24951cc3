"""Sender IDs that customers ask for: decided here, against what they look like and by countries' rules.

Two decisions about names that look alike never run side by side: an approval locks the skeleton.
"""
