"""What the pages and the notebooks' widgets do, without a page: each module answers one question about models."""
