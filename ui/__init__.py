"""The dashboard: what people see. It knows the platform by its SDK only, as any program does."""
