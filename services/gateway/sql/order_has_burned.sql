-- Whether coupons were used on an order, whatever became of it since; by transfers_order_coupon.
SELECT EXISTS (SELECT FROM transfers WHERE order_id = $1 AND kind = 'burned')
