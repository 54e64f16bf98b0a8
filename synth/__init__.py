"""Synthesis: masks worn well and badly, ages, and the plan that balances a data set with them."""
