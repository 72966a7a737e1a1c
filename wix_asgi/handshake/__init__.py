"""Install and callback: request in, answer out."""
