"""Mutated inputs for every interface, with good ones among them: `make fuzz SECONDS=60`.

values      values that replace sensible ones
mutations   changes to documents, strings and bytes
events      records for Kafka: JSON and Avro, headers and bodies
requests    HTTP requests: the native API and every facade
stack       the services, the good inputs, and the checks at the end
corpus/     inputs that did harm once, sent first in every run

"""
