"""`init`: both schemas become a first configuration that works as it is; comments say what a person must decide."""
