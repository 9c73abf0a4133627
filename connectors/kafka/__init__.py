"""The change stream: consumer, Debezium decoding, topics, and Kafka Connect's REST API."""
