#!/bin/bash
# Runs a class of the distribution, `kafka-run-class.sh CLASS ARGUMENTS`, or, under the name of a tool, that tool.
# JVM options come from KAFKA_HEAP_OPTS, KAFKA_JVM_PERFORMANCE_OPTS, KAFKA_JMX_OPTS, KAFKA_LOG4J_OPTS and KAFKA_OPTS.
set -eu

case "$(basename "$0" .sh)" in
  kafka-run-class) class=$1; shift ;;
  kafka-topics) class=org.apache.kafka.tools.TopicCommand ;;
  kafka-console-producer) class=org.apache.kafka.tools.ConsoleProducer ;;
  kafka-console-consumer) class=org.apache.kafka.tools.consumer.ConsoleConsumer ;;
  kafka-consumer-groups) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
  kafka-get-offsets) class=org.apache.kafka.tools.GetOffsetShell ;;
  kafka-transactions) class=org.apache.kafka.tools.TransactionsCommand ;;
  kafka-broker-api-versions) class=org.apache.kafka.tools.BrokerApiVersionsCommand ;;
  kafka-metadata-quorum) class=org.apache.kafka.tools.MetadataQuorumCommand ;;
  kafka-configs) class=kafka.admin.ConfigCommand ;;
  kafka-storage) class=kafka.tools.StorageTool ;;
  kafka-server-start) class=kafka.Kafka ;;
  *) printf 'no such tool: %s\n' "$0" >&2; exit 1 ;;
esac

config=tools-log4j2.yaml
heap=-Xmx128M
if [ "$class" = kafka.Kafka ]; then
  config=log4j2.yaml
  heap='-Xms128M -Xmx512M'
fi
# In a fixed order and by name: an archive of classes is only good for the class path it was made with.
printf -v classpath '%s:' /opt/kafka/libs/*.jar
# shellcheck disable=SC2086  # each of these may hold several options
exec java ${KAFKA_HEAP_OPTS:-$heap} ${KAFKA_JVM_PERFORMANCE_OPTS:--XX:+UseG1GC -XX:MaxGCPauseMillis=20} \
  -Djava.awt.headless=true -Dkafka.logs.dir=/opt/kafka/logs ${KAFKA_JMX_OPTS:-} \
  ${KAFKA_LOG4J_OPTS:--Dlog4j2.configurationFile=/opt/kafka/config/$config} ${KAFKA_OPTS:-} \
  -cp "${classpath%:}" "$class" "$@"
