import { CopyOutlined, DeleteOutlined, ExperimentOutlined, RedoOutlined, StopOutlined } from '@ant-design/icons';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { App, Button, Space } from 'antd';
import { useTranslation } from 'react-i18next';
import { Link, useNavigate } from 'react-router';
import { body } from '../../api/client';
import { deleteTasksTaskId, postTasks, postTasksTaskIdCancel, postTasksTaskIdRetry } from '../../api/gen';
import { useMay } from '../../api/me';
import { problemOf } from '../../api/problem';
import { isOver, type TaskShown } from '../../api/tasks';

/** What can be done with a task as it stands. */
export function Actions({ task }: { task: TaskShown }) {
  const { t } = useTranslation('task');
  const { t: words } = useTranslation();
  const { message, modal } = App.useApp();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const may = useMay();
  const path = { task_id: task.id };
  const after = (text: string) => {
    void message.success(text);
    void queries.invalidateQueries();
  };
  // A conflict says why; the page stays and shows how the task stands now.
  const onError = (error: unknown) => {
    void message.error(problemOf(error).message || t('action.conflict'));
    void queries.invalidateQueries({ queryKey: ['task', task.id] });
  };
  const cancel = useMutation({ mutationFn: () => body(postTasksTaskIdCancel({ path, throwOnError: true })), onSuccess: () => after(t('action.cancelled')), onError });
  const retry = useMutation({ mutationFn: () => body(postTasksTaskIdRetry({ path, body: {}, throwOnError: true })), onSuccess: () => after(t('action.queued')), onError });
  const remove = useMutation({ mutationFn: () => deleteTasksTaskId({ path, throwOnError: true }), onSuccess: () => { void message.success(t('action.deleted')); void queries.invalidateQueries({ queryKey: ['tasks'] }); void navigate('/tasks'); }, onError });
  const duplicate = useMutation({
    mutationFn: () => body(postTasks({ body: { model: task.model, type: task.type, input: task.input ?? {}, priority: task.priority, metadata: task.metadata }, throwOnError: true })),
    onSuccess: (made) => void ('id' in made && navigate(`/tasks/${made.id}`)),
    onError,
  });
  const confirm = (title: string, okText: string, onOk: () => void) => void modal.confirm({ title, okText, cancelText: words('action.close'), okButtonProps: { danger: true }, onOk });
  const hasInput = Boolean(task.input);
  return (
    <Space wrap>
      {may('tasks:submit') && hasInput && <Button icon={<CopyOutlined />} loading={duplicate.isPending} onClick={() => duplicate.mutate()}>{t('action.duplicate')}</Button>}
      {may('tasks:submit') && hasInput && task.type === 'chat' && <Link to={`/playground?task=${task.id}`}><Button icon={<ExperimentOutlined />}>{t('action.playground')}</Button></Link>}
      {may('tasks:manage') && (task.status === 'failed' || task.status === 'cancelled') && <Button type="primary" icon={<RedoOutlined />} loading={retry.isPending} onClick={() => retry.mutate()}>{t('action.retry')}</Button>}
      {may('tasks:manage') && !isOver(task.status) && <Button danger icon={<StopOutlined />} loading={cancel.isPending} onClick={() => confirm(t('action.confirmCancel'), t('action.cancel'), () => cancel.mutate())}>{t('action.cancel')}</Button>}
      {may('tasks:manage') && isOver(task.status) && <Button danger icon={<DeleteOutlined />} aria-label={t('action.delete')} loading={remove.isPending} onClick={() => confirm(t('action.confirmDelete'), t('action.delete'), () => remove.mutate())} />}
    </Space>
  );
}
