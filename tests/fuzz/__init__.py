"""Mutated inputs over every door, with good ones among them: `make fuzz SECONDS=60`.

values      what is put where something sensible stood
mutations   how a document, a text or bytes are changed
events      records for Kafka: JSON and Avro, headers and bodies
requests    HTTP requests: the native API and every facade
stack       the services, the good inputs, and what must hold at the end
corpus/     inputs that did harm once, sent first in every run
"""
