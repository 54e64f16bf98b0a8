"""Ages moved by prototypes that are learned from the user's own pictures, or by a network of the user's."""
