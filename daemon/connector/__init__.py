"""The way from the source to Kafka: publication, slot, topics and the Debezium connector."""
