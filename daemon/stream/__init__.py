"""The stream: read, buffered, applied a batch a transaction; refused rows set aside."""
