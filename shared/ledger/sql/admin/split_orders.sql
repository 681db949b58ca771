-- Give back the orders that the customers that come back placed.
UPDATE orders SET customer_key = $1 WHERE customer_key = $2 AND order_id = ANY($3::text[])
