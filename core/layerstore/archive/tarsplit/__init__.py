"""tar-split: what a tar holds beside the files' contents, so that the same tar can be put together again."""
