"""The local stack: PostgreSQL twice, Kafka and Kafka Connect with Debezium, without containers and without root."""
