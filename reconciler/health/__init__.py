"""How served apps are, as they tell themselves and as a visitor sees them.

`ears` takes what apps say, `reports` what of it is to be believed, `condition` what follows;
`visitor` asks an app as a browser would, by way of `asking` and `hypertext`.
"""
