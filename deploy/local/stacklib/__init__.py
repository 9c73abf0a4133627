"""The local stack: PostgreSQL twice, Kafka and Kafka Connect with Debezium; no containers, no root."""
