"""nexo Sale-to-POI 3.0 as JSON over HTTPS, in the dialect of Adyen's local Terminal API."""
