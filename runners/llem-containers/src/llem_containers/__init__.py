"""Parts that runners in containers share. Nothing here knows what runs the containers."""
