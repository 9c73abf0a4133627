"""MariaDB and MySQL: sessions, and what the targets and sources of these engines are made of."""
