"""What every call passes, outermost first; `chain` holds the order."""
