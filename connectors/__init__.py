"""All input and output: Kafka and Debezium decoding, source readers, target writers."""
