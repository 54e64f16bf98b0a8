"""Charts, tables, HTML pages, mean images and thumbnails: the same palette and style in every report and in the app."""
